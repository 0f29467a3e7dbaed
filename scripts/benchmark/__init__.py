"""How fast trioecho is next to other Python servers and decoders, on this machine, now."""

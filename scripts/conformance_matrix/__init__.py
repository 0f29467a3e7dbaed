"""Which servers pass which rules of `trioecho check`: small ones of ours, and services of other people."""

"""A network of several hosts on one machine, of Linux's network namespaces. `scripts/network` starts it."""

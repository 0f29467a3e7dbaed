"""Clients are checked here: each is started against servers that do what a script says.

A script is a function of a connection and of what came on it. It does not know what the client
wants to send: it echoes, as any right server does, or alters one reply. Whether the client has
noticed is seen by how its process ends. Here a rule and the case that tries it stand in one place.
"""

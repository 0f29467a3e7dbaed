"""Before the first case: is a server there, does it speak frames, and how fast is it?"""

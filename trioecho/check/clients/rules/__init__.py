"""The book of clients: each rule, and below it the function that tries it."""

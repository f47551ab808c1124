"""Independent counterparts of the outside world; they share no code with the product."""

"""The texts of requests and answers, if somebody chose to keep or to guard them."""

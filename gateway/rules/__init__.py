"""Pure decisions of the gateway: which channel, how many attempts, how large a hold."""

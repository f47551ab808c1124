"""What an operator does with a client that was generated from the API's description: the script
runs beside the package `weir_client`, with the arguments URL KEY PROVIDER_URL PROVIDER_KEY."""

"""Every process of the product imports this first."""

import os

if os.environ.get("LOG_FORMAT") == "json":
    from config.server.early_log import write_json_from_the_start

    write_json_from_the_start()

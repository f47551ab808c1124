"""Every process of the product imports this first."""

import gc
import os

# What a process imports stays as long as the process. With Python's own threshold of 700, the
# garbage collector looks at it again and again, which takes a fifth of each start.
gc.set_threshold(50_000)

if os.environ.get("LOG_FORMAT") == "json":
    from config.server.early_log import write_json_from_the_start

    write_json_from_the_start()

"""storymesh: a data mesh for training data, from contracts to cases to stories to releases."""

import os

__version__ = "0.1.0"

# Nothing phones home unless somebody asks for it. The libraries read this when they are imported, which is later.
for _name, _value in {
    "DAGSTER_DISABLE_TELEMETRY": "yes",
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    "DO_NOT_TRACK": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}.items():
    os.environ.setdefault(_name, _value)

"""Flower's own names; it reads this file from the current directory.

The environment (FLOWER_ADDRESS, FLOWER_PORT, FLOWER_BASIC_AUTH) and the command line win.
"""

import os as _os

from flower.views.tasks import TASK_COLUMNS as _HEADINGS

from worker.broker import require_servers_or_exit as _require_servers_or_exit
from worker.celery import app as _app
from worker.flower_login import require_login_or_exit as _require_login_or_exit
from worker.flower_words import described as _described
from worker.settings import settings as _settings

_require_servers_or_exit()

# It shows what workers and events say; what tasks import would be another 35 MB.
_app.conf.include = ()

address = _os.environ.get("FLOWER_ADDRESS") or _settings().bind
port = int(_os.environ.get("FLOWER_PORT") or _settings().flower_port)
# Its default of 100,000 tasks would be some hundred megabytes of ticks.
max_tasks = 2000
max_workers = 200
purge_offline_workers = 3600
tasks_columns = "args,state,result,received,runtime,worker,name,uuid"
_HEADINGS["args"] = "What it does"
format_task = _described

_require_login_or_exit(address)

"""How jobs travel and who looks after them, as far as it is the same on every machine:
messages, queues, and what beat asks for. `settings` takes all of it over.
"""

CELERY_TASK_IGNORE_RESULT = True  # the Postgres row of a job holds its result
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_SERIALIZER = "json"
CELERY_RESULT_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ACKS_LATE = False  # a job's lease in the database recovers it
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# A worker takes no message that it has no hands for: another one may be free.
CELERY_WORKER_DISABLE_PREFETCH = True
# A job goes on while the broker is away; it needs Postgres only.
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 30.0
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_PUBLISH_RETRY_POLICY = {
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0.1,
}
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 3600,
    "socket_timeout": 10,
    "socket_connect_timeout": 2,
}
# Long work runs on workers that can load torch; the reconcilers must never wait.
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_ROUTES = {
    "annotation.tasks.generate_responses": {"queue": "models"},
    "rm_training.tasks.train": {"queue": "models"},
    "rm_training.tasks.forget_checkpoints": {"queue": "models"},
    "rm_training.tasks.score_file": {"queue": "models"},
}
CELERY_BEAT_SCHEDULE = {
    "reconcile-generation": {"task": "annotation.tasks.reconcile", "schedule": 10.0},
    "sweep-exports": {"task": "ranking.tasks.sweep_exports", "schedule": 600.0},
    "remove-expired-exports": {
        "task": "ranking.tasks.remove_expired_exports",
        "schedule": 3600.0,
    },
    "reconcile-training": {"task": "rm_training.tasks.reconcile", "schedule": 10.0},
    # What waited for an hour is not needed any more. It is a worker's clock that says
    # so, and that may be wrong by minutes.
    "retrain": {
        "task": "rm_training.tasks.retrain",
        "schedule": 60.0,
        "options": {"expires": 3600.0},
    },
    "reconcile-files": {"task": "ranking.tasks.reconcile", "schedule": 10.0},
    "forget-checkpoints": {
        "task": "rm_training.tasks.forget_checkpoints",
        "schedule": 3600.0,
        "options": {"expires": 3600.0},
    },
    "forget-scored-files": {
        "task": "rm_training.tasks.forget_old_files",
        "schedule": 3600.0,
    },
    "forget-old-files": {"task": "ranking.tasks.forget_old_files", "schedule": 3600.0},
}

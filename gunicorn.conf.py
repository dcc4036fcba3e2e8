"""What gunicorn reads by itself when it is started in this folder."""

import gc

# Python looks for cycles among its objects after so many new ones. A page makes and
# drops more than the usual 700 a hundred times over, and hardly any cycle.
NEW_OBJECTS = 50_000


def post_worker_init(worker: object) -> None:
    """Once a worker has loaded the site: what it has made so far stays, so the search
    for cycles need not look at it again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS)

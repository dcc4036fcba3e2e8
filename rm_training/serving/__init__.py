"""The scoring server: rewards over HTTP, a process of its own without a database.

`requests` and `kl` say what may be asked and what is computed; `batcher` holds the
model in its one thread and scores together what arrives together; `app` speaks HTTP;
`server` runs it.
"""

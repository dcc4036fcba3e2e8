"""A Postgres backend of our own: `ENGINE = "annotation.postgres"`."""

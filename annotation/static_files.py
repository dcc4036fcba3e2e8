"""Static files whose names carry a hash of their content."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedStaticFiles(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    """Hashed and compressed; imports between JavaScript modules are rewritten too."""

    support_js_module_import_aggregation = True
    # The demo and the tests serve files that nobody has collected.
    manifest_strict = False

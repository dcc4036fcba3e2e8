"""Addresses of the API, under /api/v1/."""

from django.urls import path

from ranking import (
    agreement_api,
    api,
    api_schema,
    change_api,
    dataset_api,
    import_api,
    lifecycle_api,
)

urlpatterns = [
    path("schema/", api_schema.schema, name="api_schema"),
    path("projects/<slug:slug>/claim", api.claim, name="api_claim"),
    path("projects/<slug:slug>/history", api.history, name="api_history"),
    path(
        "projects/<slug:slug>/agreement",
        agreement_api.agreement,
        name="api_agreement",
    ),
    path(
        "projects/<slug:slug>/agreement/own",
        agreement_api.own_agreement,
        name="api_own_agreement",
    ),
    path("projects/<slug:slug>/changes", change_api.changes, name="api_changes"),
    path("projects/<slug:slug>/datasets", dataset_api.datasets, name="api_datasets"),
    path(
        "projects/<slug:slug>/datasets/matching",
        dataset_api.dataset_matching,
        name="api_dataset_matching",
    ),
    path(
        "projects/<slug:slug>/datasets/<str:name>",
        dataset_api.dataset,
        name="api_dataset",
    ),
    path(
        "projects/<slug:slug>/datasets/<str:name>/diff",
        dataset_api.dataset_diff,
        name="api_dataset_diff",
    ),
    path(
        "projects/<slug:slug>/datasets/<str:name>/rankings",
        dataset_api.dataset_rankings,
        name="api_dataset_rankings",
    ),
    path(
        "projects/<slug:slug>/datasets/<str:name>/files/<str:kind>.<str:extension>",
        dataset_api.dataset_file,
        name="api_dataset_file",
    ),
    path(
        "projects/<slug:slug>/freezes/<int:pk>",
        dataset_api.freeze_run,
        name="api_freeze",
    ),
    path(
        "projects/<slug:slug>/freezes/<int:pk>/cancel",
        dataset_api.cancel_freeze,
        name="api_cancel_freeze",
    ),
    path(
        "projects/<slug:slug>/exports/<int:pk>/cancel",
        dataset_api.cancel_export,
        name="api_cancel_export",
    ),
    path("projects/<slug:slug>/archive", lifecycle_api.archive, name="api_archive"),
    path("projects/<slug:slug>/reopen", lifecycle_api.reopen, name="api_reopen"),
    path("projects/<slug:slug>/clone", lifecycle_api.clone, name="api_clone"),
    path("projects/<slug:slug>/imports", import_api.imports, name="api_imports"),
    path(
        "projects/<slug:slug>/imports/files/<int:pk>",
        import_api.import_file,
        name="api_import_file",
    ),
    path(
        "projects/<slug:slug>/imports/<int:pk>/undo",
        lifecycle_api.undo_import,
        name="api_undo_import",
    ),
    path(
        "projects/<slug:slug>/take-down",
        lifecycle_api.take_prompt_down,
        name="api_take_down",
    ),
    path(
        "projects/<slug:slug>/forget",
        lifecycle_api.forget_labeler,
        name="api_forget",
    ),
    path("assignments/<slug:token>/draft", api.draft, name="api_draft"),
    path("assignments/<slug:token>/heartbeat", api.heartbeat, name="api_heartbeat"),
    path("assignments/<slug:token>/release", api.release, name="api_release"),
    path("assignments/<slug:token>/skip", api.skip, name="api_skip"),
    path("assignments/<slug:token>/submit", api.submit_ranking, name="api_submit"),
    path("assignments/<slug:token>/compare", api.compare, name="api_compare"),
]

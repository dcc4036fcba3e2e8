"""Addresses of the pages where people rank, and of those about what they answered."""

from django.urls import include, path

from ranking import (
    agreement_pages,
    ahead,
    dashboard_pages,
    dataset_diff_pages,
    dataset_pages,
    disagreement_pages,
    download_pages,
    feedback_pages,
    freeze_pages,
    hours_pages,
    import_pages,
    labeler_pages,
    picture_pages,
    prompt_consensus_pages,
    qualification_pages,
    quality_list_pages,
    quality_pages,
    skip_pages,
    views,
)

urlpatterns = [
    path("api/v1/", include("ranking.api_urls")),
    path("p/<slug:slug>/rank/", views.rank, name="rank"),
    path("p/<slug:slug>/rank/claim/", views.rank_claim, name="rank_claim"),
    path("p/<slug:slug>/rank/prefetch/", ahead.rank_prefetch, name="rank_prefetch"),
    path("p/<slug:slug>/rank/unsent/", ahead.rank_unsent, name="rank_unsent"),
    path("p/<slug:slug>/rank/<slug:token>/", views.rank_prompt, name="rank_prompt"),
    path("p/<slug:slug>/rank/<slug:token>/renew/", views.rank_renew, name="rank_renew"),
    path(
        "p/<slug:slug>/rank/<slug:token>/release/",
        views.rank_release,
        name="rank_release",
    ),
    path("p/<slug:slug>/work/", labeler_pages.home, name="labeler_home"),
    path("p/<slug:slug>/hours/", hours_pages.hours, name="hours"),
    path("p/<slug:slug>/hours/hours.csv", hours_pages.hours_csv, name="hours_csv"),
    path(
        "p/<slug:slug>/rank/<slug:token>/feedback/",
        feedback_pages.feedback,
        name="training_feedback",
    ),
    path("p/<slug:slug>/labelers/", quality_list_pages.labelers, name="labelers"),
    path(
        "p/<slug:slug>/labelers/labelers.csv",
        quality_list_pages.labelers_csv,
        name="labelers_csv",
    ),
    path(
        "p/<slug:slug>/labelers/<int:membership_id>/",
        quality_pages.card,
        name="labeler_card",
    ),
    path(
        "p/<slug:slug>/labelers/<int:membership_id>/<slug:picture>.csv",
        quality_pages.card_csv,
        name="labeler_card_csv",
    ),
    path(
        "p/<slug:slug>/labelers/<int:membership_id>/<slug:picture>/<slug:theme>-"
        "<slug:width>.svg",
        quality_pages.card_figure,
        name="labeler_card_figure",
    ),
    path(
        "p/<slug:slug>/prompts/<int:pk>/consensus/",
        prompt_consensus_pages.prompt_consensus,
        name="prompt_consensus",
    ),
    path(
        "p/<slug:slug>/qualification/",
        qualification_pages.qualification,
        name="qualification",
    ),
    path(
        "p/<slug:slug>/rank/<slug:token>/skip/",
        skip_pages.rank_skip,
        name="rank_skip",
    ),
    path("p/<slug:slug>/agreement/", agreement_pages.agreement, name="agreement"),
    path("p/<slug:slug>/dashboard/", dashboard_pages.overview, name="overview"),
    path(
        "p/<slug:slug>/dashboard/agreement/",
        dashboard_pages.agreement_pictures,
        name="agreement_pictures",
    ),
    path("p/<slug:slug>/dashboard/habits/", dashboard_pages.habits, name="habits"),
    path(
        "p/<slug:slug>/dashboard/disagreement/",
        disagreement_pages.disagreement,
        name="disagreement",
    ),
    path(
        "p/<slug:slug>/dashboard/<slug:picture>.csv",
        picture_pages.dashboard_csv,
        name="dashboard_csv",
    ),
    path(
        "p/<slug:slug>/dashboard/<slug:picture>/<slug:theme>-<slug:width>.svg",
        picture_pages.dashboard_figure,
        name="dashboard_figure",
    ),
    path("p/<slug:slug>/files/", import_pages.files, name="file_imports"),
    path("p/<slug:slug>/files/<int:pk>/", import_pages.file_import, name="file_import"),
    path(
        "p/<slug:slug>/files/<int:pk>/live/",
        import_pages.file_import_live,
        name="file_import_live",
    ),
    path(
        "p/<slug:slug>/files/<int:pk>/import/",
        import_pages.start_file_import,
        name="start_file_import",
    ),
    path(
        "p/<slug:slug>/files/<int:pk>/delete/",
        import_pages.discard_file_import,
        name="discard_file_import",
    ),
    path(
        "p/<slug:slug>/files/<int:pk>/report.csv",
        import_pages.file_import_csv,
        name="file_import_csv",
    ),
    path(
        "p/<slug:slug>/files/<int:pk>/report.json",
        import_pages.file_import_json,
        name="file_import_json",
    ),
    path("p/<slug:slug>/datasets/", dataset_pages.datasets, name="datasets"),
    path(
        "p/<slug:slug>/datasets/freeze/",
        freeze_pages.freeze_dataset,
        name="freeze_dataset",
    ),
    path(
        "p/<slug:slug>/datasets/matching/",
        freeze_pages.dataset_matching,
        name="dataset_matching",
    ),
    path("p/<slug:slug>/datasets/freezes/", freeze_pages.freezes, name="freezes"),
    path(
        "p/<slug:slug>/datasets/freezes/<int:pk>/cancel/",
        freeze_pages.cancel_freeze,
        name="cancel_freeze",
    ),
    path(
        "p/<slug:slug>/datasets/exports/<int:pk>/live/",
        download_pages.export_live,
        name="export_live",
    ),
    path(
        "p/<slug:slug>/datasets/exports/<int:pk>/cancel/",
        download_pages.cancel_export,
        name="cancel_export",
    ),
    path(
        "p/<slug:slug>/datasets/<str:name>/files/",
        download_pages.dataset_exports,
        name="dataset_exports",
    ),
    path(
        "p/<slug:slug>/datasets/<str:name>/diff/",
        dataset_diff_pages.dataset_diff,
        name="dataset_diff",
    ),
    path("p/<slug:slug>/datasets/<str:name>/", dataset_pages.dataset, name="dataset"),
    path(
        "p/<slug:slug>/datasets/<str:name>/file/",
        download_pages.choose_dataset_file,
        name="choose_dataset_file",
    ),
    path(
        "p/<slug:slug>/datasets/<str:name>/<str:kind>.<str:extension>",
        download_pages.dataset_file,
        name="dataset_file",
    ),
]

"""Addresses of the pages where people rank, and of those about what they answered."""

from django.urls import include, path

from ranking import agreement_pages, ahead, dataset_pages, views

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
    path("p/<slug:slug>/agreement/", agreement_pages.agreement, name="agreement"),
    path(
        "p/<slug:slug>/rankings/import/",
        dataset_pages.import_rankings_page,
        name="import_rankings",
    ),
    path("p/<slug:slug>/datasets/", dataset_pages.datasets, name="datasets"),
    path(
        "p/<slug:slug>/datasets/freeze/",
        dataset_pages.freeze_dataset,
        name="freeze_dataset",
    ),
    path("p/<slug:slug>/datasets/<str:name>/", dataset_pages.dataset, name="dataset"),
    path(
        "p/<slug:slug>/datasets/<str:name>/<str:kind>.jsonl",
        dataset_pages.dataset_file,
        name="dataset_file",
    ),
]

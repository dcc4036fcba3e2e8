"""Addresses of the pages about rankings."""

from django.urls import path

from ranking import agreement_pages, dataset_pages

urlpatterns = [
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

"""Addresses of the ranking room."""

from django.urls import URLPattern, path

from ranking import views

urlpatterns: list[URLPattern] = [
    path("p/<slug:slug>/rank/", views.rank, name="rank"),
    path("p/<slug:slug>/rank/claim/", views.rank_claim, name="rank_claim"),
    path("p/<slug:slug>/rank/<str:token>/", views.rank_prompt, name="rank_prompt"),
    path("p/<slug:slug>/rank/<str:token>/renew/", views.rank_renew, name="rank_renew"),
    path(
        "p/<slug:slug>/rank/<str:token>/release/",
        views.rank_release,
        name="rank_release",
    ),
]

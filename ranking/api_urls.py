"""Addresses of the API, under /api/v1/."""

from django.urls import path

from ranking import agreement_api, api, api_schema, change_api

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
    path("assignments/<slug:token>/draft", api.draft, name="api_draft"),
    path("assignments/<slug:token>/heartbeat", api.heartbeat, name="api_heartbeat"),
    path("assignments/<slug:token>/release", api.release, name="api_release"),
    path("assignments/<slug:token>/skip", api.skip, name="api_skip"),
    path("assignments/<slug:token>/submit", api.submit_ranking, name="api_submit"),
    path("assignments/<slug:token>/compare", api.compare, name="api_compare"),
]

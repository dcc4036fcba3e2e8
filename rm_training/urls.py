"""Addresses of training runs and reward models."""

from django.urls import path

from rm_training import (
    compare_pages,
    continue_pages,
    evaluation_pages,
    lineage_pages,
    retraining_pages,
    run_api,
    scoring_api,
    scoring_pages,
    takedown_pages,
    views,
    withdrawal_pages,
)

urlpatterns = [
    path(
        "p/<slug:slug>/datasets/<str:name>/runs/",
        lineage_pages.dataset_runs,
        name="dataset_runs",
    ),
    path("p/<slug:slug>/runs/trained-on/", lineage_pages.trained_on, name="trained_on"),
    path("p/<slug:slug>/runs/", views.runs, name="runs"),
    path("p/<slug:slug>/runs/retrain/", views.retrain, name="retrain"),
    path(
        "p/<slug:slug>/runs/retraining/",
        retraining_pages.retraining,
        name="retraining",
    ),
    path(
        "p/<slug:slug>/runs/compare/", compare_pages.compare_runs, name="compare_runs"
    ),
    path(
        "p/<slug:slug>/runs/compare/figure-<str:theme>-<str:width>.svg",
        compare_pages.compare_figure,
        name="compare_figure",
    ),
    path("p/<slug:slug>/runs/<int:pk>/", views.run, name="run"),
    path("p/<slug:slug>/runs/<int:pk>/live/", views.run_live, name="run_live"),
    path("p/<slug:slug>/runs/<int:pk>/cancel/", views.cancel_run, name="cancel_run"),
    path(
        "p/<slug:slug>/runs/<int:pk>/continue/",
        continue_pages.continue_run,
        name="continue_run",
    ),
    path(
        "p/<slug:slug>/runs/<int:pk>/again/",
        continue_pages.run_again,
        name="run_again",
    ),
    path(
        "p/<slug:slug>/runs/<int:pk>/metrics.csv", views.run_metrics, name="run_metrics"
    ),
    path(
        "p/<slug:slug>/runs/<int:pk>/figure-<str:theme>-<str:width>.svg",
        views.run_figure,
        name="run_figure",
    ),
    path(
        "p/<slug:slug>/runs/<int:pk>/evaluation.json",
        evaluation_pages.evaluation_json,
        name="evaluation_json",
    ),
    path(
        "p/<slug:slug>/runs/<int:pk>/evaluation/<slug:exhibit>.csv",
        evaluation_pages.evaluation_csv,
        name="evaluation_csv",
    ),
    path(
        "p/<slug:slug>/runs/<int:pk>/evaluation/<slug:exhibit>/<str:theme>-<str:width>.svg",
        evaluation_pages.evaluation_figure,
        name="evaluation_figure",
    ),
    path("p/<slug:slug>/scored/", scoring_pages.scored_files, name="scored_files"),
    path(
        "p/<slug:slug>/scored/<int:pk>/", scoring_pages.scored_file, name="scored_file"
    ),
    path(
        "p/<slug:slug>/scored/<int:pk>/live/",
        scoring_pages.scored_file_live,
        name="scored_file_live",
    ),
    path(
        "p/<slug:slug>/scored/<int:pk>/rewards.jsonl",
        scoring_pages.scored_rewards,
        name="scored_rewards",
    ),
    path(
        "p/<slug:slug>/scored/<int:pk>/discard/",
        scoring_pages.discard_scored_file,
        name="discard_scored_file",
    ),
    path(
        "api/v1/projects/<slug:slug>/scored",
        scoring_api.scored_files,
        name="api_scored_files",
    ),
    path(
        "api/v1/projects/<slug:slug>/scored/<int:pk>",
        scoring_api.scored_file,
        name="api_scored_file",
    ),
    path(
        "api/v1/projects/<slug:slug>/scored/<int:pk>/discard",
        scoring_api.discard_scored_file,
        name="api_discard_scored_file",
    ),
    path(
        "api/v1/projects/<slug:slug>/scored/<int:pk>/rewards.jsonl",
        scoring_api.scored_rewards,
        name="api_scored_rewards",
    ),
    path("p/<slug:slug>/models/<int:pk>/use/", views.use_model, name="use_model"),
    path(
        "p/<slug:slug>/members/<int:membership_id>/withdrawal/",
        withdrawal_pages.withdrawal,
        name="withdrawal",
    ),
    path(
        "p/<slug:slug>/members/<int:membership_id>/withdraw/",
        withdrawal_pages.withdraw_labeler,
        name="withdraw_labeler",
    ),
    path(
        "p/<slug:slug>/members/<int:membership_id>/reinstate/",
        withdrawal_pages.reinstate_labeler,
        name="reinstate_labeler",
    ),
    path(
        "p/<slug:slug>/prompts/<int:pk>/take-down/",
        takedown_pages.take_prompt_down,
        name="take_prompt_down",
    ),
    path(
        "p/<slug:slug>/members/<int:membership_id>/forget/",
        takedown_pages.forget_labeler,
        name="forget_labeler",
    ),
    path("api/v1/projects/<slug:slug>/runs", run_api.runs, name="api_runs"),
    path("api/v1/projects/<slug:slug>/runs/<int:pk>", run_api.run, name="api_run"),
    path(
        "api/v1/projects/<slug:slug>/runs/<int:pk>/cancel",
        run_api.cancel_run,
        name="api_cancel_run",
    ),
    path(
        "api/v1/projects/<slug:slug>/runs/<int:pk>/continue",
        run_api.continue_run,
        name="api_continue_run",
    ),
    path("api/v1/projects/<slug:slug>/models", run_api.models, name="api_models"),
    path(
        "api/v1/projects/<slug:slug>/models/<int:pk>/use",
        run_api.use_model,
        name="api_use_model",
    ),
]

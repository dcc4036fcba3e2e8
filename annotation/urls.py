"""Every address of the site. The later rooms are included by name."""

from django.urls import include, path

from annotation import (
    access_pages,
    change_pages,
    health,
    import_pages,
    lifecycle_pages,
    people,
    project_settings,
    prompt_page,
    prompt_pages,
    report_pages,
    standing_pages,
    terms_pages,
    views,
)

urlpatterns = [
    # First, for Django tries one after another, and labelers ask the most by far.
    path("", include("ranking.urls")),
    path("", views.home, name="home"),
    path("", include("annotation.account_urls")),
    path("livez", health.livez, name="livez"),
    path("readyz", health.readyz, name="readyz"),
    path("projects/new/", views.create_project, name="create_project"),
    path("p/<slug:slug>/", views.project, name="project"),
    path("p/<slug:slug>/instructions/", views.instructions, name="instructions"),
    path(
        "p/<slug:slug>/instructions/new/",
        views.add_instructions,
        name="add_instructions",
    ),
    path(
        "p/<slug:slug>/settings/",
        project_settings.project_settings,
        name="project_settings",
    ),
    path(
        "p/<slug:slug>/settings/overlap/",
        project_settings.project_overlap,
        name="project_overlap",
    ),
    path("p/<slug:slug>/changes/", change_pages.changes, name="changes"),
    path(
        "p/<slug:slug>/settings/archive/",
        lifecycle_pages.archive,
        name="archive_project",
    ),
    path(
        "p/<slug:slug>/settings/reopen/",
        lifecycle_pages.reopen,
        name="reopen_project",
    ),
    path(
        "p/<slug:slug>/settings/clone/",
        lifecycle_pages.clone,
        name="clone_project",
    ),
    path("p/<slug:slug>/terms/", terms_pages.consent, name="consent"),
    path("p/<slug:slug>/terms/agree/", terms_pages.agree_to_terms, name="agree"),
    path("p/<slug:slug>/terms/new/", terms_pages.add_terms, name="add_terms"),
    path("p/<slug:slug>/reports/", report_pages.reports, name="reports"),
    path("p/<slug:slug>/reports/new/", report_pages.new_report, name="report_problem"),
    path(
        "p/<slug:slug>/reports/<int:pk>/answer/",
        report_pages.answer,
        name="answer_report",
    ),
    path(
        "p/<slug:slug>/generation/start/",
        views.start_generation,
        name="start_generation",
    ),
    path(
        "p/<slug:slug>/generation/cancel/",
        views.stop_generation,
        name="cancel_generation",
    ),
    path(
        "p/<slug:slug>/generation/progress/",
        views.generation_progress,
        name="generation_progress",
    ),
    path("p/<slug:slug>/prompts/", prompt_pages.prompts, name="prompts"),
    path("p/<slug:slug>/prompts/<int:pk>/", prompt_page.prompt, name="prompt"),
    path(
        "p/<slug:slug>/prompts/<int:pk>/take-out/",
        prompt_page.take_out,
        name="take_prompt_out",
    ),
    path(
        "p/<slug:slug>/prompts/<int:pk>/restore/",
        prompt_page.restore,
        name="restore_prompt",
    ),
    path("p/<slug:slug>/imports/", import_pages.imports, name="imports"),
    path(
        "p/<slug:slug>/imports/<int:pk>/undo/",
        import_pages.undo_import,
        name="undo_import",
    ),
    path("p/<slug:slug>/members/", people.members, name="members"),
    path("p/<slug:slug>/members/add/", people.add, name="add_member"),
    path(
        "p/<slug:slug>/members/<int:membership_id>/link/",
        people.fresh_link,
        name="fresh_link",
    ),
    path(
        "p/<slug:slug>/members/<int:membership_id>/access/",
        access_pages.member_access,
        name="member_access",
    ),
    path(
        "p/<slug:slug>/members/<int:membership_id>/role/",
        access_pages.change_role,
        name="change_member_role",
    ),
    path(
        "p/<slug:slug>/members/<int:membership_id>/remove/",
        access_pages.remove,
        name="remove_member",
    ),
    path(
        "p/<slug:slug>/members/<int:membership_id>/tokens/revoke/",
        access_pages.revoke_token,
        name="revoke_member_token",
    ),
    path(
        "p/<slug:slug>/members/<int:membership_id>/",
        standing_pages.labeler,
        name="labeler",
    ),
    path(
        "p/<slug:slug>/members/<int:membership_id>/pause/",
        standing_pages.pause,
        name="pause_member",
    ),
    path(
        "p/<slug:slug>/members/<int:membership_id>/resume/",
        standing_pages.resume,
        name="resume_member",
    ),
    path(
        "p/<slug:slug>/members/<int:membership_id>/qualification/",
        standing_pages.decide,
        name="decide_qualification",
    ),
    path("", include("rm_training.urls")),
]

handler400 = "annotation.errors.bad_request"
handler403 = "annotation.errors.permission_denied"
handler404 = "annotation.errors.page_not_found"
handler500 = "annotation.errors.server_error"

"""Every address of the site. The later rooms are included by name."""

from django.urls import include, path

from annotation import health, people, prompt_pages, views

urlpatterns = [
    path("", views.home, name="home"),
    path("", include("annotation.account_urls")),
    path("livez", health.livez, name="livez"),
    path("readyz", health.readyz, name="readyz"),
    path("p/<slug:slug>/prompts/", prompt_pages.prompts, name="prompts"),
    path(
        "p/<slug:slug>/prompts/import/",
        prompt_pages.import_prompts_page,
        name="import_prompts",
    ),
    path("p/<slug:slug>/members/", people.members, name="members"),
    path("p/<slug:slug>/members/add/", people.add, name="add_member"),
    path(
        "p/<slug:slug>/members/<int:membership_id>/link/",
        people.fresh_link,
        name="fresh_link",
    ),
    path("", include("ranking.urls")),
    path("", include("rm_training.urls")),
]

handler400 = "annotation.errors.bad_request"
handler403 = "annotation.errors.permission_denied"
handler404 = "annotation.errors.page_not_found"
handler500 = "annotation.errors.server_error"

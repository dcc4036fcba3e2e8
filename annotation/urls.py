"""Every address of the site. The later rooms are included by name."""

from django.urls import include, path

from annotation import views

urlpatterns = [
    path("", views.home, name="home"),
    path("", include("ranking.urls")),
    path("", include("rm_training.urls")),
]

"""Addresses of the pages about rankings."""

from django.urls import path

from ranking import agreement_pages

urlpatterns = [
    path("p/<slug:slug>/agreement/", agreement_pages.agreement, name="agreement"),
]

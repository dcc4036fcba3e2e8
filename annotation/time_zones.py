"""Where people read times: a time zone each, chosen by themselves.

Days are UTC everywhere, because hours and rankings are counted by them; moments are
shown in the reader's zone.
"""

from collections import defaultdict
from functools import cache
from typing import cast
from zoneinfo import available_timezones

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
)
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods

from annotation.access import SignedInRequest

# Names that some machines list and that are no places.
NO_PLACES = frozenset({"Factory", "localtime"})
Region = tuple[str, list[tuple[str, str]]]


@cache
def zones_by_region() -> list[Region]:
    """Every zone of the IANA database, grouped for a select: Africa, America, …

    Names without a region, UTC among them, come first. A process looks once: that opens
    each of six hundred files.
    """
    regions: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for name in sorted(available_timezones() - NO_PLACES):
        region, _, place = name.rpartition("/")
        regions[region].append((name, place.replace("_", " ")))
    return [(region or "No region", zones) for region, zones in sorted(regions.items())]


class TimeZoneForm(forms.Form):
    """One's own time zone."""

    time_zone = forms.ChoiceField(label="Time zone", choices=zones_by_region)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def time_zone(request: HttpRequest) -> HttpResponseBase:
    """Choose one's time zone; then back to the page of this site one came from."""
    user = cast(SignedInRequest, request).user
    if request.method != "POST":
        form = TimeZoneForm(initial={"time_zone": user.time_zone})
        return _page(request, form)
    form = TimeZoneForm(request.POST)
    if not form.is_valid():
        return _page(request, form, status=422)
    user.time_zone = form.cleaned_data["time_zone"]
    user.save(update_fields=["time_zone"])
    messages.success(request, f"Times are shown in {user.time_zone} from now on.")
    return HttpResponseRedirect(_where_from(request) or reverse("home"))


def _page(request: HttpRequest, form: TimeZoneForm, status: int = 200) -> HttpResponse:
    user = cast(SignedInRequest, request).user
    context = {"form": form, "next": _where_from(request), "now": timezone.now()}
    with timezone.override(user.zone):
        return render(request, "annotation/time_zone.html", context, status=status)


def _where_from(request: HttpRequest) -> str:
    """The page to go back to, if it is one of this site; else ""."""
    sent = request.POST if request.method == "POST" else request.GET
    address = sent.get("next", "")
    ours = url_has_allowed_host_and_scheme(
        address, {request.get_host()}, require_https=request.is_secure()
    )
    return address if ours else ""

"""Parts of the ranking page that are rendered once for the few values they hang on."""

from django.template import Context, Template
from django.test import override_settings

from ranking.rank_page import Flag
from ranking.templatetags import parts

RATING = "ranking/_rating.html"


def included(name: str, **values: object) -> str:
    """What a page shows that hands all it has to the part."""
    given = " ".join(f"{key}={key}" for key in values)
    page = Template(f'{{% load parts %}}{{% part "{name}" {given} %}}')
    return page.render(Context(values))


def test_a_part_is_rendered_once_for_the_same_values() -> None:
    parts._rendered.cache_clear()
    pages = [included(RATING, letter="C", rating="4") for _ in range(3)]
    assert pages[0] == pages[1] == pages[2]
    assert parts._rendered.cache_info().misses == 1


def test_other_values_make_another_part() -> None:
    four, none = (included(RATING, letter="C", rating=rating) for rating in ("4", ""))
    assert 'value="4" required checked>' in four
    assert "checked" not in none


def test_what_stands_in_a_part_is_escaped() -> None:
    flags = (Flag("<b>", on=True), Flag("harmful", on=False))
    part = included("ranking/_flags.html", letter="A", flags=flags, open=True)
    assert 'value="&lt;b&gt;" checked' in part
    assert "<b>" not in part


def test_a_part_sees_nothing_of_the_page_around_it() -> None:
    page = Template(f'{{% load parts %}}{{% part "{RATING}" letter=letter %}}')
    assert "checked" not in page.render(Context({"letter": "A", "rating": "4"}))


@override_settings(DEBUG=True)
def test_while_templates_are_written_each_page_shows_them_anew() -> None:
    parts._rendered.cache_clear()
    included(RATING, letter="C", rating="4")
    assert parts._rendered.cache_info().currsize == 0

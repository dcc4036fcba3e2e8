"""Parts of the ranking page that are rendered once for the few values they hang on."""

from dataclasses import replace

from django.template import Context, Template
from django.test import override_settings
from django.utils.safestring import SafeString

from ranking.page_html import MemberShown, ProjectShown
from ranking.rank_page import Card, Flag, Frame
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


# --- Frames -----------------------------------------------------------------------

FRAME = Frame(
    letter="A",
    blank=False,
    long=True,
    counted=True,
    twin="",
    tier="",
    rating="",
    flags=(),
    wrong=False,
)
CARD = Card(frame=FRAME, html="<p>x</p>", raw="x", words=1)
TAGS = ["<b>", SafeString("<i>")]
MEMBER = MemberShown(ProjectShown("tides", "Tides", 30, 0), "labeler")
A_CARD = Template(
    '{% load parts %}{% frame "ranking/_response.html" card.texts card=card.frame %}'
)


def shown(card: Card) -> str:
    return A_CARD.render(Context({"card": card}))


def test_what_stands_around_a_text_is_rendered_once_for_all_texts() -> None:
    parts._framed.cache_clear()
    one = shown(CARD)
    other = shown(replace(CARD, html="<p>&lt;y&gt; \0html\0</p>", raw="y", words=250))
    assert '<div class="rich" dir="auto"><p>x</p></div>' in one
    assert "<p>&lt;y&gt; \0html\0</p></div>" in other
    assert '<div class="raw" dir="auto">y</div>' in other
    assert '<span class="hint">1 word</span>' in one
    assert "Show all 250 words<" in other
    assert parts._framed.cache_info().misses == 1


def test_a_text_is_escaped_unless_it_is_html_already() -> None:
    page = Template(
        '{% load parts %}{% frame "ranking/_turn.html" texts role="user" %}'
    )
    said = {text: page.render(Context({"texts": {"html": text}})) for text in TAGS}
    assert "&lt;b&gt;" in said["<b>"]
    assert "<i>" in said[TAGS[1]]


def test_a_text_may_be_part_of_an_address() -> None:
    shown = parts.frame("ranking/_skip.html", {"token": "a-b_c"}, member=MEMBER)
    assert 'action="/p/tides/rank/a-b_c/skip/"' in shown


def test_another_frame_is_another_one() -> None:
    assert 'aria-invalid="true"' not in shown(CARD)
    wrong = replace(CARD, frame=replace(FRAME, wrong=True))
    assert 'aria-invalid="true"' in shown(wrong)


def test_what_stands_in_a_frame_is_escaped_and_its_texts_are_html_already() -> None:
    flags = (Flag("<b>", on=True),)
    card = shown(replace(CARD, frame=replace(FRAME, flags=flags)))
    assert 'value="&lt;b&gt;" checked' in card
    assert "<p>x</p>" in card


@override_settings(DEBUG=True)
def test_while_templates_are_written_frames_are_made_anew_too() -> None:
    parts._framed.cache_clear()
    shown(CARD)
    assert parts._framed.cache_info().currsize == 0

"""Tags that name a field become that field; nothing that was said is lost on the way."""

from spend.attribution.tags import split, spread


def test_a_tag_that_names_a_field_is_that_field() -> None:
    said = "project:alpha,Team: frontend,org:acme,sprint:2026-S21,agent:coder,user:ada,env:prod,x"
    fields, rest = split(said.split(","))
    assert fields == {
        "project": "alpha",
        "team": "frontend",
        "organization": "acme",
        "sprint": "2026-S21",
        "agent": "coder",
        "user_id": "ada",
    }
    assert rest == ["env:prod", "x"]


def test_of_two_tags_for_a_field_the_first_counts_and_the_other_stays_a_tag() -> None:
    assert split(["organization:a", "org:b", "org:a"]) == ({"organization": "a"}, ["org:b"])


def test_a_tag_without_a_value_stays_a_tag() -> None:
    assert split(["project:", "project", ":x", "url:http://a:1"]) == (
        {},
        ["project:", "project", ":x", "url:http://a:1"],
    )
    assert split(["project:a:b"]) == ({"project": "a:b"}, [])


def test_what_is_no_text_is_left_for_capture_to_judge() -> None:
    assert split([None, 7, "team:x"]) == ({"team": "x"}, [None, 7])


def test_what_a_row_says_itself_is_more_specific_than_its_tags() -> None:
    row = {"model": "m", "project": "shop", "user_id": "ada", "team": ""}
    tags = ["project:alpha", "user:ada", "team:core", "x"]
    assert spread(row, tags) == {
        "model": "m",
        "project": "shop",
        "user_id": "ada",
        "team": "core",
        "tags": ["x", "project:alpha"],
    }
    assert row["team"] == "", "the row given is not changed"
    assert "tags" not in spread({**row, "tags": ["team:core"]}, ["team:core"])

from server.tracking import drawing

KNOWN = (
    "bank-only-network",
    "bank-only-trees",
    "federated-network",
    "pooled-network",
    "pooled-trees",
    "true-pd",
)


def test_known_contenders_have_different_colours():
    assert len({drawing.colour(name) for name in KNOWN}) == len(KNOWN)


def test_an_unknown_contender_has_a_lasting_colour_that_no_known_one_has():
    assert drawing.colour("my-own-model") == drawing.colour("my-own-model")
    assert drawing.colour("my-own-model") not in {drawing.colour(name) for name in KNOWN}


def test_learners_differ_by_their_line():
    assert drawing.line_style("federated-network") == drawing.line_style("pooled-network")
    assert drawing.line_style("pooled-network") != drawing.line_style("pooled-trees")


def test_axes_of_figures_do_not_share_state():
    (first, _), (second, _) = drawing.new_axes("a", "x", "y"), drawing.new_axes("b", "x", "y")
    assert first is not second
    assert [axes.get_title(loc="left") for axes in first.axes] == ["a"]

"""The floors of the house (docs/architecture.md): imports and foreign keys point downwards only."""

from django.apps import apps

FLOORS = (
    "base",
    "workspaces",
    "production",
    "extensions",
    "workflows",
    "engine",
    "operations",
    ("console", "openapi"),
    "processes",
)
"""From the ground up; import-linter holds the imports (pyproject.toml, ``make lint``)."""


def floor_of(label: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if label == rooms or label in rooms)


def own_models():
    """The product's models; Django's and the libraries' have no floor."""
    return [
        model
        for model in apps.get_models()
        if model.__module__.split(".")[0] in ("opscenter", "workflows", "extensions")
    ]


def test_no_foreign_key_points_upwards():
    upwards = [
        f"{model.__name__}.{field.name} -> {field.related_model.__name__}"
        for model in own_models()
        for field in model._meta.get_fields()
        if field.concrete and field.is_relation and field.related_model in own_models()
        if floor_of(field.related_model._meta.app_label) > floor_of(model._meta.app_label)
    ]
    assert not upwards


def test_every_room_has_a_floor():
    labels = {
        config.label
        for config in apps.get_app_configs()
        if config.name.split(".")[0] in ("opscenter", "workflows", "extensions")
    }
    assert {floor_of(label) for label in labels} == set(range(len(FLOORS)))

"""The HTML report of a bundle: sections return typed content, one template draws it."""

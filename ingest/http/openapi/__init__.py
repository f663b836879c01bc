"""The API as an OpenAPI 3.1 document: one module a tag, `document` puts them together."""

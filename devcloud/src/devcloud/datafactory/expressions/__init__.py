"""The Data Factory expression language: text -> tokens -> tree -> value. No IO."""

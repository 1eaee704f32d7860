"""The TFLite format, LiteRT's."""

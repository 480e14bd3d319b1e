//! A model without a model: phrases and replies from a file of rules.

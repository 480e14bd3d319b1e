//! What a model may do in a run: actions of the catalog, offered as tools.

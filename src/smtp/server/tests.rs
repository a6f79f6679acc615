//! The session in the small: what dialogs cannot say.

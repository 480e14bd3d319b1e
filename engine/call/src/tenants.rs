//! What all tenants share, and each meets only what is its own of.

use std::sync::Arc;

/// Whose it is, and its name.
pub(crate) type Name = (Arc<str>, String);

/// Things of one kind as one tenant meets them. Cheap to clone.
#[derive(Default)]
pub struct Own<All> {
    pub(crate) all: Arc<All>,
    tenant: Arc<str>,
}

impl<All> Own<All> {
    /// Those of nobody yet.
    pub(crate) fn nobodys(all: All) -> Self {
        Self { all: Arc::new(all), tenant: Arc::default() }
    }

    /// Those of this tenant, which no other tenant meets.
    pub fn of(&self, tenant: &str) -> Self {
        Self { all: Arc::clone(&self.all), tenant: tenant.into() }
    }

    /// The tenant's thing of this name.
    pub(crate) fn name(&self, name: &str) -> Name {
        (Arc::clone(&self.tenant), name.to_owned())
    }
}

impl<All> Clone for Own<All> {
    fn clone(&self) -> Self {
        Self { all: Arc::clone(&self.all), tenant: Arc::clone(&self.tenant) }
    }
}

//! A PostgreSQL that several runtimes share.

use std::sync::Arc;

use store::Store;
use tokio_postgres::{Client, NoTls};

/// A schema of its own in the PostgreSQL of the tests.
pub(crate) struct Database {
    pub(crate) schema: String,
    pub(crate) server: Client,
}

fn server() -> String {
    std::env::var("VOXFLOW_TEST_POSTGRES").expect("`make test` sets VOXFLOW_TEST_POSTGRES")
}

impl Database {
    pub(crate) async fn new() -> Self {
        let (server, connection) = tokio_postgres::connect(&server(), NoTls).await.unwrap();
        tokio::spawn(connection);
        let schema = format!("runtime_{}", uuid::Uuid::now_v7().simple());
        let make = format!("CREATE SCHEMA {schema}; SET search_path TO {schema}");
        server.batch_execute(&make).await.unwrap();
        Self { schema, server }
    }

    /// A store there, with connections of its own.
    pub(crate) async fn store(&self) -> Arc<dyn Store> {
        let (server, schema) = (server(), &self.schema);
        let joint = if server.contains('?') { '&' } else { '?' };
        let url = format!("{server}{joint}options=-csearch_path%3D{schema}");
        store::open(&url).await.unwrap()
    }

    pub(crate) async fn drop(self) {
        let drop = format!("DROP SCHEMA {} CASCADE", self.schema);
        self.server.batch_execute(&drop).await.unwrap();
    }
}

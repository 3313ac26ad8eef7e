// What DynamicsWebApi makes of the sandbox, as one JSON document.
//
// Environment: SANDBOX_URL, SANDBOX_TOKEN, SANDBOX_USER (a systemuser's object id).

import { createRequire } from "node:module";

// The package is installed beside nothing of ours: NODE_PATH leads to it.
const { DynamicsWebApi } = createRequire(import.meta.url)("dynamics-web-api");

const { SANDBOX_URL, SANDBOX_TOKEN, SANDBOX_USER } = process.env;

const api = new DynamicsWebApi({
  serverUrl: SANDBOX_URL,
  dataApi: { version: "9.2" },
  onTokenRefresh: async () => SANDBOX_TOKEN,
});

async function rows() {
  const id = await api.create({ collection: "accounts", data: { name: "By npm" } });
  await api.update({
    collection: "accounts",
    key: id,
    data: { telephone1: "555" },
  });
  const read = await api.retrieve({
    collection: "accounts",
    key: id,
    select: ["name", "telephone1"],
  });
  const stale = await api.update({
    collection: "accounts",
    key: id,
    data: { name: "Late" },
    ifmatch: 'W/"1"',
  }).catch((error) => error.status);
  const deleted = await api.deleteRecord({ collection: "accounts", key: id });
  const gone = await api
    .retrieve({ collection: "accounts", key: id })
    .catch((error) => error.status);
  return { name: read.name, telephone1: read.telephone1, stale, deleted, gone };
}

async function pages() {
  const first = await api.retrieveMultiple({
    collection: "products",
    select: ["name"],
    maxPageSize: 5,
    count: true,
  });
  const all = await api.retrieveAll({
    collection: "products",
    select: ["name"],
    maxPageSize: 5,
  });
  return { first: first.value.length, count: first.oDataCount, all: all.value.length };
}

async function changes() {
  const load = await api.retrieveMultiple({
    collection: "positions",
    select: ["name"],
    trackChanges: true,
  });
  const id = await api.create({ collection: "positions", data: { name: "Tracked" } });
  const delta = await api.retrieveMultiple(
    { collection: "positions", select: ["name"], trackChanges: true },
    load.oDataDeltaLink ?? load["@odata.deltaLink"],
  );
  await api.deleteRecord({ collection: "positions", key: id });
  return { names: delta.value.map((row) => row.name) };
}

async function keys() {
  const key = `accountnumber='N-${Date.now() % 1e9}'`;
  const made = await api.upsert({
    collection: "accounts",
    key,
    data: { name: "Upserted" },
    returnRepresentation: true,
  });
  await api.upsert({ collection: "accounts", key, data: { name: "Again" } });
  const read = await api.retrieve({ collection: "accounts", key, select: ["name"] });
  return { same: made.accountid === read.accountid, name: read.name };
}

async function references() {
  const contact = await api.create({
    collection: "contacts",
    data: { lastname: "Linked" },
  });
  const account = await api.create({
    collection: "accounts",
    data: { name: "Linking", "primarycontactid@odata.bind": `contacts(${contact})` },
  });
  const expanded = await api.retrieve({
    collection: "accounts",
    key: account,
    select: ["name"],
    expand: [{ property: "primarycontactid", select: ["lastname"] }],
  });
  await api.disassociateSingleValued({
    collection: "accounts",
    primaryKey: account,
    navigationProperty: "primarycontactid",
  });
  const after = await api.retrieve({
    collection: "accounts",
    key: account,
    select: ["_primarycontactid_value"],
  });
  return {
    lastname: expanded.primarycontactid.lastname,
    after: after._primarycontactid_value,
  };
}

async function batch() {
  api.startBatch();
  api.create({ collection: "contacts", data: { lastname: "Batch" }, contentId: "1" });
  api.create({
    collection: "accounts",
    data: { name: "Batch", "primarycontactid@odata.bind": "$1" },
  });
  const [contact, account] = await api.executeBatch();
  const read = await api.retrieve({ collection: "accounts", key: account });
  api.startBatch();
  api.create({ collection: "accounts", data: { accountid: contact, name: "Undone" } });
  api.create({ collection: "accounts", data: { nosuch: 1 } });
  const failed = await api.executeBatch().catch((errors) => [errors].flat()[0].status);
  const undone = await api
    .retrieve({ collection: "accounts", key: contact })
    .catch((error) => error.status);
  return { linked: read._primarycontactid_value === contact, failed, undone };
}

async function impersonation() {
  const id = await api.create({
    collection: "accounts",
    data: { name: "On behalf" },
    impersonateAAD: SANDBOX_USER,
  });
  const read = await api.retrieve({
    collection: "accounts",
    key: id,
    expand: [
      { property: "createdby", select: ["domainname"] },
      { property: "createdonbehalfby", select: ["domainname"] },
    ],
  });
  return { by: read.createdby.domainname, behalf: read.createdonbehalfby.domainname };
}

async function metadata() {
  const table = await api.retrieveEntity({
    key: "LogicalName='account'",
    select: ["EntitySetName"],
    expand: [{ property: "Keys" }],
  });
  const columns = await api.retrieveAttributes({
    entityKey: "LogicalName='account'",
    castType: "Microsoft.Dynamics.CRM.PicklistAttributeMetadata",
    select: ["LogicalName"],
    expand: [{ property: "OptionSet" }],
  });
  const industries = columns.value.find((one) => one.LogicalName === "industrycode");
  const who = await api.callFunction("WhoAmI");
  return {
    entitySet: table.EntitySetName,
    keys: table.Keys.flatMap((key) => key.KeyAttributes),
    industries: industries.OptionSet.Options.length,
    organization: who.OrganizationId,
  };
}

const found = {};
for (const part of [
  rows,
  pages,
  changes,
  keys,
  references,
  batch,
  impersonation,
  metadata,
]) {
  try {
    found[part.name] = await part();
  } catch (error) {
    found[part.name] = { error: `${error.status ?? ""} ${error.message ?? error}` };
  }
}
process.stdout.write(JSON.stringify(found));

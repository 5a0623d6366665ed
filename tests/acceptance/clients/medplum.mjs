// MedplumClient against a gateway: `FHIR_PEERS=… node medplum.mjs http://127.0.0.1:PORT`.
// Each check is a line of JSON: {"name": …, "error": null or text}. The exit status is 0 when all of them ran.
// With a token as the second argument it only says whether the gateway takes the token: `ok` or `refused`.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { randomUUID } from 'node:crypto';

const require = createRequire(join(resolve(process.env.FHIR_PEERS), 'package.json'));
const { MedplumClient, OperationOutcomeError } = require('@medplum/core');

const SYSTEM = 'urn:test:medplum';
const WEIGHT = { coding: [{ system: 'http://loinc.org', code: '29463-7' }] };

const connected = (options = {}) => new MedplumClient({ baseUrl: process.argv[2], fhirUrlPath: 'fhir', ...options });
const medplum = connected();
const headed = (headers) => ({ headers });

const key = () => `k${randomUUID().slice(0, 12)}`;
const person = (value, more = {}) => ({
  resourceType: 'Patient',
  identifier: [{ system: SYSTEM, value }],
  name: [{ family: value, given: ['Kim'] }],
  ...more,
});
const seen = (subject, more = {}) => ({
  resourceType: 'Observation', status: 'final', code: WEIGHT, subject: { reference: subject }, ...more,
});

/** The code of the first issue with which the promise is refused. */
async function refused(promise) {
  try {
    await promise;
  } catch (error) {
    assert.ok(error instanceof OperationOutcomeError, `no OperationOutcome: ${error}`);
    return error.outcome.issue[0].code;
  }
  return assert.fail('it was not refused');
}

const checks = {
  async create_and_read() {
    const sent = person(key(), { birthDate: '1980-05-02' });
    const made = await medplum.createResource(sent);
    const { id, meta, ...rest } = made;
    assert.deepEqual(rest, sent);
    assert.equal(meta.versionId, '1');
    assert.deepEqual(await medplum.readResource('Patient', id), made);
    assert.deepEqual(await medplum.readReference({ reference: `Patient/${id}` }), made);
    assert.equal(await refused(medplum.readResource('Patient', 'nobody')), 'not-found');
  },

  async create_that_follows_its_location() {
    const made = await medplum.createResource(person(key()), {
      ...headed({ Prefer: 'return=minimal' }), followRedirectOnCreated: true,
    });
    assert.equal(made.meta.versionId, '1');
  },

  async update() {
    const made = await medplum.createResource(person(key()));
    const changed = await medplum.updateResource({ ...made, active: true });
    assert.deepEqual([changed.id, changed.active, changed.meta.versionId], [made.id, true, '2']);
    const named = await medplum.updateResource({ ...person(key()), id: `kis-${key()}` });
    assert.equal(named.meta.versionId, '1');
  },

  async version_conflict() {
    const made = await medplum.createResource(person(key()));
    await medplum.updateResource({ ...made, active: true });
    const stale = headed({ 'If-Match': 'W/"1"' });
    assert.equal(await refused(medplum.updateResource({ ...made, active: false }, stale)), 'conflict');
    const patch = [{ op: 'replace', path: '/active', value: false }];
    for (const write of [
      (options) => medplum.patchResource('Patient', made.id, patch, options),
      (options) => medplum.deleteResource('Patient', made.id, options),
    ]) assert.equal(await refused(write(headed({ 'If-Match': 'W/"1"' }))), 'conflict');
    assert.equal((await medplum.readResource('Patient', made.id)).active, true);
    const current = headed({ 'If-Match': 'W/"2"' });
    assert.equal((await medplum.updateResource({ ...made, active: false }, current)).meta.versionId, '3');
  },

  async patch() {
    const made = await medplum.createResource(person(key(), { gender: 'female' }));
    const patched = await medplum.patchResource('Patient', made.id, [
      { op: 'test', path: '/gender', value: 'female' },
      { op: 'replace', path: '/gender', value: 'male' },
      { op: 'add', path: '/name/0/given/-', value: 'Toni' },
    ]);
    assert.deepEqual([patched.gender, patched.name[0].given, patched.meta.versionId], ['male', ['Kim', 'Toni'], '2']);
    const wrong = [{ op: 'test', path: '/gender', value: 'female' }];
    assert.equal(await refused(medplum.patchResource('Patient', made.id, wrong)), 'conflict');
    const bad = [{ op: 'replace', path: '/gender', value: 'x' }];
    assert.equal(await refused(medplum.patchResource('Patient', made.id, bad)), 'code-invalid');
  },

  async delete_and_gone() {
    const value = key();
    const made = await medplum.createResource(person(value));
    assert.equal(await medplum.deleteResource('Patient', made.id), undefined);
    assert.equal(await refused(medplum.readResource('Patient', made.id)), 'deleted');
    assert.equal(await refused(medplum.patchResource('Patient', made.id, [])), 'deleted');
    assert.equal(await medplum.searchOne('Patient', { identifier: value }), undefined);
    await medplum.deleteResource('Patient', made.id);
    const history = await medplum.readHistory('Patient', made.id);
    assert.deepEqual(history.entry.map((entry) => entry.request.method), ['DELETE', 'POST']);
  },

  async create_if_none_exist() {
    const value = key();
    const condition = `identifier=${SYSTEM}|${value}`;
    const first = await medplum.createResourceIfNoneExist(person(value), condition);
    const second = await medplum.createResourceIfNoneExist(person(value, { active: true }), condition);
    assert.deepEqual(second, first);
    const many = await Promise.all(Array.from({ length: 8 }, () => {
      return medplum.createResourceIfNoneExist(person(`${value}x`), `identifier=${value}x`);
    }));
    assert.equal(new Set(many.map((one) => one.id)).size, 1);
    await medplum.createResource(person(value));
    assert.equal(await refused(medplum.createResourceIfNoneExist(person(value), condition)), 'multiple-matches');
  },

  async upsert() {
    const value = key();
    const condition = { identifier: `${SYSTEM}|${value}` };
    const first = await medplum.upsertResource(person(value), condition);
    const second = await medplum.upsertResource(person(value, { active: true }), condition);
    assert.deepEqual([second.id, second.active, second.meta.versionId], [first.id, true, '2']);
    await medplum.createResource(person(value));
    assert.equal(await refused(medplum.upsertResource(person(value), condition)), 'multiple-matches');
  },

  async search() {
    const value = key();
    const [a, b] = [await medplum.createResource(person(value, { birthDate: '1950-01-31', gender: 'male' })),
      await medplum.createResource(person(value, { birthDate: '1980-05-02', gender: 'female' }))];
    const observation = await medplum.createResource(seen(`Patient/${a.id}`));
    const ids = async (query) => (await medplum.searchResources('Patient', query)).map((found) => found.id);
    assert.deepEqual(await ids({ family: value }), [a.id, b.id]);
    assert.deepEqual(await ids(`family=${value}&gender=female`), [b.id]);
    assert.deepEqual(await ids({ family: value, birthdate: 'lt1960' }), [a.id]);
    assert.deepEqual(await ids({ family: value, _sort: '-birthdate' }), [b.id, a.id]);
    assert.deepEqual(await ids([['family', value], ['birthdate', 'ge1960'], ['birthdate', 'lt1990']]), [b.id]);
    assert.deepEqual(await ids({ '_has:Observation:patient:code': '29463-7', family: value }), [a.id]);
    const chained = await medplum.searchOne('Observation', { 'patient.identifier': value });
    assert.equal(chained.id, observation.id);
    const bundle = await medplum.search('Observation', { _id: observation.id, _include: 'Observation:subject' });
    const modes = bundle.entry.map((entry) => [entry.resource.id, entry.search.mode]);
    assert.deepEqual(modes, [[observation.id, 'match'], [a.id, 'include']]);
    const fields = await medplum.searchOne('Patient', { _id: a.id, _fields: 'birthDate' }).catch((error) => error);
    assert.equal(fields.outcome?.issue[0].code, 'not-supported'); // _fields is Medplum's, _elements R4's
    const cut = await medplum.searchOne('Patient', { _id: a.id, _elements: 'birthDate' });
    assert.deepEqual(Object.keys(cut).sort(), ['birthDate', 'id', 'meta', 'resourceType']);
    assert.equal((await medplum.search('Patient', { family: value, _total: 'accurate', _count: 1 })).total, 2);
    assert.equal((await medplum.search('Patient', { family: value, _summary: 'count' })).total, 2);
    assert.equal(await refused(medplum.search('Patient', { 'shoe-size': '43' })), 'not-supported');
  },

  async search_pages() {
    const value = key();
    for (let number = 0; number < 5; number += 1) await medplum.createResource(person(value));
    const pages = [];
    for await (const page of medplum.searchResourcePages('Patient', { family: value, _count: 2 })) pages.push(page);
    assert.deepEqual(pages.map((page) => page.length), [2, 2, 1]);
    assert.equal(new Set(pages.flat().map((found) => found.id)).size, 5);
    const all = []; // without a _count Medplum asks for 1000
    for await (const page of medplum.searchResourcePages('Patient', { family: value })) all.push(...page);
    assert.equal(all.length, 5);
  },

  async history_and_versions() {
    const made = await medplum.createResource(person(key()));
    await medplum.updateResource({ ...made, active: true });
    const history = await medplum.readHistory('Patient', made.id);
    assert.deepEqual([history.type, history.total], ['history', 2]);
    assert.deepEqual(history.entry.map((entry) => entry.resource.meta.versionId), ['2', '1']);
    assert.deepEqual(await medplum.readVersion('Patient', made.id, '1'), made);
    assert.equal(await refused(medplum.readVersion('Patient', made.id, '9')), 'not-found');
    const page = await medplum.readHistory('Patient', made.id, { count: 1 });
    assert.equal(page.entry.length, 1);
    const next = await medplum.get(page.link.find((link) => link.relation === 'next').url);
    assert.deepEqual(next.entry.map((entry) => entry.resource.meta.versionId), ['1']);
    assert.equal(await refused(medplum.readHistory('Patient', made.id, { offset: 1 })), 'not-supported'); // _offset
  },

  async transaction() {
    const value = key();
    const who = `urn:uuid:${randomUUID()}`;
    const bundle = {
      resourceType: 'Bundle', type: 'transaction', entry: [
        { resource: seen(who), request: { method: 'POST', url: 'Observation' } },
        { fullUrl: who, resource: person(value),
          request: { method: 'POST', url: 'Patient', ifNoneExist: `identifier=${SYSTEM}|${value}` } },
      ],
    };
    const first = await medplum.executeBatch(bundle);
    const second = await medplum.executeBatch(bundle);
    assert.equal(first.type, 'transaction-response');
    assert.deepEqual(first.entry.map((entry) => entry.response.status), ['201 Created', '201 Created']);
    assert.deepEqual(second.entry.map((entry) => entry.response.status), ['201 Created', '200 OK']);
    const found = await medplum.searchResources('Observation', { 'subject:Patient.identifier': value });
    const mine = await medplum.searchOne('Patient', { identifier: value });
    assert.deepEqual(found.map((one) => one.subject.reference), [`Patient/${mine.id}`, `Patient/${mine.id}`]);
  },

  async refused_transaction() {
    const value = key();
    const entry = [person(value), person(value, { gender: 'x' })].map((resource) => {
      return { resource, request: { method: 'POST', url: 'Patient' } };
    });
    const bundle = { resourceType: 'Bundle', type: 'transaction', entry };
    assert.equal(await refused(medplum.executeBatch(bundle)), 'code-invalid');
    assert.deepEqual((await medplum.searchResources('Patient', { identifier: value })).length, 0);
    const answer = await medplum.executeBatch({ ...bundle, type: 'batch' });
    assert.deepEqual(answer.entry.map((one) => one.response.status.slice(0, 3)), ['201', '400']);
  },

  async automatic_batch() {
    const people = [await medplum.createResource(person(key())), await medplum.createResource(person(key()))];
    const batching = connected({ autoBatchTime: 20 });
    const got = await Promise.all([
      batching.readResource('Patient', people[0].id),
      batching.readResource('Patient', people[1].id),
      batching.search('Patient', { _id: people[0].id }),
      refused(batching.readResource('Patient', 'nobody')),
    ]);
    assert.deepEqual(got.slice(0, 2), people);
    assert.deepEqual([got[2].type, got[2].total, got[3]], ['searchset', 1, 'not-found']);
  },

  async validate() {
    const told = await medplum.validateResource(person(key()));
    assert.deepEqual([told.resourceType, told.issue[0].severity], ['OperationOutcome', 'information']);
    const wrong = await medplum.validateResource(person(key(), { gender: 'x' }));
    assert.deepEqual([wrong.issue[0].severity, wrong.issue[0].expression], ['error', ['Patient.gender']]);
  },

  async what_is_no_r4() {
    assert.equal(await refused(medplum.createResource({ resourceType: 'Patient', name: 'x' })), 'structure');
    assert.equal(await refused(medplum.createResource({ resourceType: 'Nothing' })), 'not-supported');
    assert.equal(await refused(medplum.get('fhir/Nothing/1')), 'not-supported');
  },

  async binary() {
    const made = await medplum.createBinary({ data: 'Grüß Gott', contentType: 'text/plain' });
    assert.equal(made.contentType.split(';')[0], 'text/plain');
    const blob = await medplum.download(`fhir/Binary/${made.id}`, headed({ Accept: 'text/plain' }));
    assert.equal(await blob.text(), 'Grüß Gott');
    const bytes = new Uint8Array([0, 255, 1, 254]);
    const image = await medplum.createBinary({ data: bytes, contentType: 'image/png' });
    assert.equal(image.data, 'AP8B/g==');
  },

  async binary_with_a_file_name() {
    const made = await medplum.createBinary({ data: 'x', contentType: 'text/plain', filename: 'befund.txt' });
    assert.equal(made.resourceType, 'Binary'); // Medplum's own parameter _filename must not keep it from being stored
  },

  async comment() {
    const made = await medplum.createResource(person(key()));
    const comment = await medplum.createComment(made, 'Rückruf erbeten');
    assert.deepEqual(comment.basedOn, [{ reference: `Patient/${made.id}`, display: `Kim ${made.name[0].family}` }]);
  },

  async cached_reads() {
    const caching = connected({ cacheTime: 60000 });
    const made = await caching.createResource(person(key()));
    await caching.readResource('Patient', made.id);
    await caching.updateResource({ ...made, active: true });
    assert.equal((await caching.readResource('Patient', made.id)).active, true);
    assert.equal((await caching.readResource('Patient', made.id, { cache: 'reload' })).meta.versionId, '2');
  },

  async capabilities() {
    assert.equal((await medplum.get('fhir/metadata')).fhirVersion, '4.0.1');
  },
};

async function isTaken(token) {
  let isAsked = false;
  const client = connected({ accessToken: token, onUnauthenticated: () => { isAsked = true; } });
  const found = await client.search('Patient').catch(() => undefined);
  return !isAsked && found?.type === 'searchset';
}

if (process.argv[3] === undefined) {
  for (const [name, check] of Object.entries(checks)) {
    let error = null;
    try {
      await check();
    } catch (thrown) {
      error = String(thrown?.stack ?? thrown);
    }
    console.log(JSON.stringify({ name, error }));
  }
} else {
  console.log((await isTaken(process.argv[3])) ? 'ok' : 'refused');
}

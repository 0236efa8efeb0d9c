// Microsoft's JavaScript client for Graph. It has no models: paths and objects are the caller's. It sends the token
// over TLS only, and to the hosts that it is told.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import graph from '@microsoft/microsoft-graph-client';
import { exchanges, forget, passed, soon, stage, unknownId } from './stage.mjs';

const { Client, GraphError, PageIterator, ResponseType } = graph;

function clientWith(token) {
  return Client.init({
    baseUrl: stage.https,
    defaultVersion: 'v1.0',
    customHosts: new Set([new URL(stage.https).hostname]),
    authProvider: (done) => done(null, token),
  });
}

const client = clientWith(stage.token);

let count = 0;

/** Creates a user with a name and an externalId of its own. */
async function createUser(properties = {}) {
  count += 1;
  return client.api('/education/users').post({
    displayName: `Person ${count}`,
    onPremisesSamAccountName: `person${count}`,
    mail: `person${count}@example.org`,
    externalId: `person-${count}`,
    ...properties,
  });
}

async function createClass(properties = {}) {
  count += 1;
  return client.api('/education/classes').post({
    displayName: `Class ${count}`, classification: 'class', externalId: `class-${count}`, ...properties,
  });
}

async function createSchool(properties = {}) {
  count += 1;
  return client.api('/education/schools').post({
    displayName: `School ${count}`, schoolNumber: `${count}`, externalId: `school-${count}`, ...properties,
  });
}

/** Walks through all pages of a list with the client's own iterator. */
async function walk(request) {
  const found = [];
  const iterator = new PageIterator(client, await request.get(), (entity) => {
    found.push(entity);
    return true;
  });
  await iterator.iterate();
  assert.ok(iterator.isComplete());
  return found;
}

/** Expects that a call fails with the client's own error, and returns it. */
async function refused(call, statusCode, code) {
  const error = await call.then(() => assert.fail('the call succeeded'), (failure) => failure);
  assert.ok(error instanceof GraphError, `${error}`);
  assert.equal(error.statusCode, statusCode);
  assert.equal(error.code, code);
  assert.ok(error.message);
  assert.equal(error.requestId, error.headers.get('request-id'));
  assert.ok(Math.abs(error.date - Date.now()) < 60_000, `date ${error.date}`);
  return error;
}

describe('@microsoft/microsoft-graph-client', () => {
  test('creates, gets, changes and deletes a user', async () => {
    const created = await createUser({ displayName: 'Zoë O’Brien', givenName: 'Zoë', surname: 'O’Brien', primaryRole: 'student' });
    assert.match(created.id, /^[0-9a-f-]{36}$/);
    assert.equal(created.displayName, 'Zoë O’Brien');
    assert.ok(!('passwordProfile' in created));
    const path = `/education/users/${created.id}`;

    assert.deepEqual(await client.api(path).get(), created);
    assert.equal((await client.api(`/education/users(externalId='${created.externalId}')`).get()).id, created.id);

    const changed = await client.api(path).patch({ givenName: null, accountEnabled: false });
    assert.equal(changed.accountEnabled, false);
    assert.ok(!('givenName' in changed), 'null clears a property');
    assert.equal(changed.surname, 'O’Brien', 'what a change does not mention stays');

    assert.equal(await client.api(path).delete(), undefined);
    await refused(client.api(path).get(), 404, 'itemNotFound');
  });

  test('sends back an entity as it was read, with a change', async () => {
    for (const create of [createUser, createClass, createSchool]) {
      const entity = await create();
      const path = new URL(entity['@odata.context']).hash.replace('#', '/').replace('$entity', entity.id);
      const read = await client.api(path).get();
      const changed = await client.api(path).patch({ ...read, displayName: 'Changed' });
      assert.equal(changed.displayName, 'Changed');
      assert.equal(changed.externalId, entity.externalId);
    }
  });

  test('lists and filters by externalId', async () => {
    const user = await createUser({ externalId: "O'Brien & 50% #1 + ä/ö" });
    await createUser();
    const all = await client.api('/education/users').get();
    assert.ok(all.value.length >= 2);
    assert.equal(all['@odata.nextLink'], undefined);

    // The client does not encode options; its documentation leaves that to the caller.
    const filter = `externalId eq '${user.externalId.replaceAll("'", "''")}'`;
    const found = await client.api('/education/users').filter(encodeURIComponent(filter)).get();
    assert.deepEqual(found.value.map(({ id }) => id), [user.id]);

    const plain = await createUser();
    const same = await client.api('/education/users').filter(`externalId eq '${plain.externalId}'`).get();
    assert.deepEqual(same.value.map(({ id }) => id), [plain.id]);
    const none = await client.api('/education/users').filter("externalId eq 'nobody'").get();
    assert.deepEqual(none.value, []);
  });

  test('walks through pages that $top asks for', async () => {
    const school = await createSchool();
    const ids = new Set();
    for (let i = 0; i < 7; i += 1) {
      const user = await client.api(`/education/schools/${school.id}/users`).post({
        displayName: `Pupil ${i}`, onPremisesSamAccountName: `pupil${i}`, mail: `pupil${i}@example.org`,
      });
      ids.add(user.id);
    }
    for (const path of [`/education/schools/${school.id}/users`, '/education/users']) {
      forget();
      const found = await walk(client.api(path).filter("startswith(displayName,'Pupil ')").orderby('displayName').select('id,displayName').top(2));
      assert.deepEqual(found.map(({ displayName }) => displayName), [0, 1, 2, 3, 4, 5, 6].map((i) => `Pupil ${i}`));
      assert.deepEqual(new Set(found.map(({ id }) => id)), ids);
      assert.deepEqual(Object.keys(found[6]).filter((name) => !name.startsWith('@')), ['id', 'displayName'], '$select counts on every page');
      assert.equal(exchanges.length, 4);
      assert.ok(exchanges.every(({ url }) => url.startsWith(`${stage.https}/v1.0/`)), 'links are the ones that the client can call');
    }
  });

  test('walks through pages that Prefer asks for', async () => {
    const before = await client.api('/education/classes').count(true).top(1).get();
    for (let i = 0; i < 5; i += 1) {
      await createClass();
    }
    const request = () => client.api('/education/classes').header('Prefer', 'odata.maxpagesize=2');
    const first = await request().responseType(ResponseType.RAW).get();
    assert.equal(first.headers.get('Preference-Applied'), 'odata.maxpagesize=2');
    assert.equal((await first.json()).value.length, 2);

    forget();
    const found = await walk(request());
    assert.equal(found.length, before['@odata.count'] + 5);
    assert.equal(new Set(found.map(({ id }) => id)).size, found.length);
    assert.equal(exchanges.length, Math.ceil(found.length / 2), 'the preference lasts beyond the page that it was sent for');
    // The text of the response is what the client makes of text/plain.
    assert.equal(await client.api('/education/classes/$count').get(), String(found.length));
  });

  test('gets no body with Prefer: return=minimal', async () => {
    const user = await createUser();
    const path = `/education/users/${user.id}`;
    const answer = await client.api(path)
      .header('Prefer', 'return=minimal').responseType(ResponseType.RAW).patch({ surname: 'Minimal' });
    assert.equal(answer.status, 204);
    assert.equal(answer.headers.get('Preference-Applied'), 'return=minimal');
    assert.equal(await client.api(path).header('Prefer', 'return=minimal').patch({ givenName: 'Mini' }), undefined);
    assert.equal((await client.api(path).get()).surname, 'Minimal');
  });

  test('changes no version but the one that was read', async () => {
    const user = await createUser();
    const change = (surname) => client.api(`/education/users/${user.id}`).header('If-Match', user['@odata.etag']).patch({ surname });
    assert.notEqual((await change('First'))['@odata.etag'], user['@odata.etag']);
    await refused(change('Second'), 412, 'resourceModified');
  });

  test('adds and removes references', async () => {
    const [school, group, user] = [await createSchool(), await createClass(), await createUser()];
    const links = [
      [`/education/schools/${school.id}/users`, `/education/users/${user.id}`, user],
      [`/education/schools/${school.id}/classes`, `/education/classes/${group.id}`, group],
      [`/education/classes/${group.id}/members`, `/education/users/${user.id}`, user],
      [`/education/classes/${group.id}/teachers`, `/education/users/${user.id}`, user],
    ];
    // Programs copy the host of Microsoft's documentation.
    for (const host of [stage.https, 'https://graph.microsoft.com']) {
      for (const [collection, target, { id }] of links) {
        assert.equal(await client.api(`${collection}/$ref`).post({ '@odata.id': `${host}/v1.0${target}` }), undefined);
        const listed = await client.api(collection).get();
        assert.deepEqual(listed.value.map((entity) => entity.id), [id], collection);
        assert.equal(await client.api(`${collection}/${id}/$ref`).delete(), undefined);
        assert.deepEqual((await client.api(collection).get()).value, [], collection);
        await refused(client.api(`${collection}/${id}/$ref`).delete(), 404, 'itemNotFound');
      }
    }
    await refused(client.api(`/education/classes/${group.id}/members/$ref`)
      .post({ '@odata.id': `${stage.https}/v1.0/education/users/${unknownId}` }), 404, 'itemNotFound');
    await refused(client.api(`/education/classes/${group.id}/members/$ref`)
      .post({ '@odata.id': `${stage.https}/v1.0/education/schools/${school.id}` }), 400, 'invalidRequest');
  });

  test('expands and searches', async () => {
    const [group, user] = [await createClass(), await createUser({ displayName: 'Quirin Quast' })];
    await client.api(`/education/classes/${group.id}/teachers/$ref`).post({ '@odata.id': `${stage.https}/v1.0/education/users/${user.id}` });
    const found = await client.api('/education/users').search('"displayName:quirin"').expand('taughtClasses($select=displayName)').get();
    assert.deepEqual(found.value.map(({ id }) => id), [user.id]);
    assert.deepEqual(found.value[0].taughtClasses.map(({ displayName }) => displayName), [group.displayName]);
  });

  test('sends compressed bodies', async () => {
    const body = { displayName: 'Gerda Gzip', onPremisesSamAccountName: 'gerda', mail: 'gerda@example.org' };
    const created = await client.api('/education/users')
      .headers({ 'Content-Type': 'application/json', 'Content-Encoding': 'gzip' }).post(gzipSync(JSON.stringify(body)));
    assert.equal(created.displayName, 'Gerda Gzip');
    await refused(client.api('/education/users')
      .headers({ 'Content-Type': 'application/json', 'Content-Encoding': 'br' }).post(Buffer.from('{}')), 415, 'invalidRequest');
  });

  test('reports refusals as GraphError', async () => {
    const user = await createUser();
    await refused(client.api(`/education/users/${unknownId}`).get(), 404, 'itemNotFound');
    await refused(client.api('/education/nothing').get(), 404, 'itemNotFound');
    await refused(client.api(`/education/users/${unknownId}`).patch({ surname: 'Nobody' }), 404, 'itemNotFound');
    await refused(client.api(`/education/users/${unknownId}`).delete(), 404, 'itemNotFound');
    await refused(createUser({ onPremisesSamAccountName: user.onPremisesSamAccountName }), 409, 'nameAlreadyExists');
    const duplicate = await refused(createUser({ externalId: user.externalId }), 409, 'nameAlreadyExists');
    assert.equal(JSON.parse(duplicate.body).target, 'externalId');
    await refused(createUser({ displayName: null }), 400, 'invalidRequest');
    await refused(createUser({ nickname: 'Nick' }), 400, 'invalidRequest');
    await refused(client.api('/education/users').filter('nickname eq 1').get(), 400, 'invalidRequest');
    await refused(client.api('/education/users').query({ $apply: 'aggregate' }).get(), 501, 'notSupported');
    await refused(client.api('/education/users').put({}), 405, 'notAllowed');
    await refused(clientWith('not the token').api('/education/users').get(), 401, 'InvalidAuthenticationToken');
  });

  test('deletes a school once it is closed', async () => {
    const school = await createSchool();
    const path = `/education/schools/${school.id}`;
    await refused(client.api(path).delete(), 405, 'notAllowed');
    const closed = soon();
    const changed = await client.api(path).patch({ terminationDate: closed.toISOString() });
    assert.equal(new Date(changed.terminationDate).getTime(), closed.getTime());
    await passed(closed);
    assert.equal(await client.api(path).delete(), undefined);
    await refused(client.api(path).get(), 404, 'itemNotFound');
  });

  test('keeps every letter of a body and of a key', async () => {
    const school = await createSchool({ displayName: 'Ä/ö 100% "Schule" 🏫', externalId: "it's/1 2?" });
    const key = encodeURIComponent(school.externalId.replaceAll("'", "''"));
    assert.deepEqual(await client.api(`/education/schools(externalId='${key}')`).get(), school);
  });
});

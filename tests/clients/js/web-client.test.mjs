// OpenCloud's own client, generated from libre-graph's document on top of axios. It has a class for each part of the
// education API, and knows neither the query options of lists, but for order and expansion, nor pages: those go through
// the options that every call of it takes, and through the axios instance that it is given.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import {
  Configuration, EducationClassApi, EducationClassTeachersApi, EducationSchoolApi, EducationUserApi,
} from '@opencloud-eu/web-client/graph/generated';
import axios, { AxiosError } from 'axios';
import { passed, soon, stage, unknownId } from './stage.mjs';

/** The four classes, over one axios instance. */
function clientWith(token, root = '/graph') {
  const basePath = stage.http + root;
  const http = axios.create({ headers: { Authorization: `Bearer ${token}` } });
  const configuration = new Configuration({ basePath });
  return {
    http,
    users: new EducationUserApi(configuration, basePath, http),
    schools: new EducationSchoolApi(configuration, basePath, http),
    classes: new EducationClassApi(configuration, basePath, http),
    teachers: new EducationClassTeachersApi(configuration, basePath, http),
  };
}

const client = clientWith(stage.token);

let count = 0;

/** Creates a user with a name and an externalId of its own. */
async function createUser(properties = {}) {
  count += 1;
  const answer = await client.users.createEducationUser({
    displayName: `Person ${count}`,
    onPremisesSamAccountName: `person${count}`,
    mail: `person${count}@example.org`,
    externalId: `person-${count}`,
    primaryRole: 'student',
    ...properties,
  });
  assert.equal(answer.status, 201);
  assert.ok(answer.headers.location.endsWith(`/users/${answer.data.id}`));
  return answer.data;
}

async function createClass(properties = {}) {
  count += 1;
  const answer = await client.classes.createClass({
    displayName: `Class ${count}`, classification: 'class', externalId: `class-${count}`, ...properties,
  });
  assert.equal(answer.status, 201);
  return answer.data;
}

async function createSchool(properties = {}) {
  count += 1;
  const answer = await client.schools.createSchool({ displayName: `School ${count}`, schoolNumber: `${count}`, ...properties });
  assert.equal(answer.status, 201);
  return answer.data;
}

/** Follows the links of a list to its end and returns the pages. */
async function follow(first) {
  const pages = [];
  for (let answer = await first; ; answer = await client.http.get(answer.data['@odata.nextLink'])) {
    pages.push(answer.data.value);
    if (!answer.data['@odata.nextLink']) {
      return pages;
    }
  }
}

/** Expects that a call fails with the client's own error, and returns the error of the response. */
async function refused(call, status, code) {
  const failure = await call.then(() => assert.fail('the call succeeded'), (error) => error);
  assert.ok(failure instanceof AxiosError, `${failure}`);
  assert.equal(failure.response.status, status);
  const { error } = failure.response.data;
  assert.equal(error.code, code);
  assert.ok(error.message);
  assert.equal(error.innererror['request-id'], failure.response.headers['request-id']);
  return error;
}

/** Expects a success without a body. */
async function done(call) {
  const answer = await call;
  assert.equal(answer.status, 204);
  assert.equal(answer.data, '');
}

const idsOf = (entities) => entities.map(({ id }) => id);

describe('@opencloud-eu/web-client', () => {
  test('creates, gets, changes and deletes a user', async () => {
    const created = await createUser({
      displayName: 'Zoë O’Brien', givenName: 'Zoë', surname: 'O’Brien',
      identities: [{ issuer: 'https://idp.example.org', issuerAssignedId: 'zoe' }], passwordProfile: { password: 'Correct horse 1' },
    });
    assert.equal(created.displayName, 'Zoë O’Brien');
    assert.deepEqual(created.identities, [{ issuer: 'https://idp.example.org', issuerAssignedId: 'zoe' }]);
    assert.ok(!('passwordProfile' in created));
    assert.deepEqual((await client.users.getEducationUser(created.id)).data, created);
    assert.deepEqual((await client.users.getEducationUser(created.onPremisesSamAccountName)).data, created);

    const changed = (await client.users.updateEducationUser(created.id, { givenName: null, accountEnabled: false })).data;
    assert.equal(changed.accountEnabled, false);
    assert.ok(!('givenName' in changed), 'null clears a property');
    assert.equal(changed.surname, 'O’Brien', 'what a change does not mention stays');

    await done(client.users.deleteEducationUser(created.id));
    await refused(client.users.getEducationUser(created.id), 404, 'itemNotFound');
  });

  test('creates, gets, changes and deletes a class', async () => {
    const created = await createClass({ description: 'All of them' });
    assert.deepEqual((await client.classes.getClass(created.id)).data, created);
    assert.deepEqual((await client.classes.getClass(created.externalId)).data, created);
    const changed = (await client.classes.updateClass(created.id, { ...created, displayName: 'Other' })).data;
    assert.equal(changed.displayName, 'Other');
    assert.equal(changed.description, 'All of them');
    await done(client.classes.deleteClass(created.id));
    await refused(client.classes.getClass(created.id), 404, 'itemNotFound');
  });

  test('creates, gets, changes and deletes a school', async () => {
    const created = await createSchool();
    assert.deepEqual((await client.schools.getSchool(created.id)).data, created);
    assert.deepEqual((await client.schools.getSchool(created.schoolNumber)).data, created);
    await refused(client.schools.deleteSchool(created.id), 405, 'notAllowed');
    const closed = soon();
    const changed = (await client.schools.updateSchool(created.id, { displayName: 'Other', terminationDate: closed.toISOString() })).data;
    assert.equal(changed.displayName, 'Other');
    assert.equal(new Date(changed.terminationDate).getTime(), closed.getTime());
    await passed(closed);
    await done(client.schools.deleteSchool(created.id));
    await refused(client.schools.getSchool(created.id), 404, 'itemNotFound');
  });

  test('lists whole sets and filters by externalId', async () => {
    const user = await createUser({ externalId: "O'Brien & 50% #1 + ä/ö" });
    const [group, school] = [await createClass(), await createSchool({ externalId: 'school' })];
    const lists = [
      [(options) => client.users.listEducationUsers(undefined, undefined, options), user],
      [(options) => client.classes.listClasses(options), group],
      [(options) => client.schools.listSchools(options), school],
    ];
    for (const [list, entity] of lists) {
      const whole = (await list()).data;
      assert.ok(idsOf(whole.value).includes(entity.id));
      assert.equal(whole['@odata.nextLink'], undefined);
      const filter = `externalId eq '${entity.externalId.replaceAll("'", "''")}'`;
      assert.deepEqual(idsOf((await list({ params: { $filter: filter } })).data.value), [entity.id]);
      assert.deepEqual((await list({ params: { $filter: "externalId eq 'none'" } })).data.value, []);
    }
  });

  test('orders and expands', async () => {
    const [group, user] = [await createClass({ displayName: 'Of Xenia' }), await createUser({ displayName: 'Xenia', mail: 'xenia@example.org' })];
    await done(client.classes.addUserToClass(group.id, { '@odata.id': `${stage.http}/graph/v1.0/education/users/${user.id}` }));
    const users = (await client.users.listEducationUsers(new Set(['displayName', 'mail']))).data.value;
    const names = users.map(({ displayName }) => displayName);
    assert.deepEqual(names, names.toSorted());
    // The client permits memberOf alone, which the education API has under another name.
    await refused(client.users.getEducationUser(user.id, new Set(['memberOf'])), 400, 'invalidRequest');
    const expanded = (await client.users.getEducationUser(user.id, undefined, { params: { $expand: 'classes' } })).data;
    assert.deepEqual(expanded.classes.map(({ displayName }) => displayName), ['Of Xenia']);
  });

  test('follows pages that $top asks for', async () => {
    const school = await createSchool();
    const ids = [];
    for (let i = 0; i < 7; i += 1) {
      const user = await createUser({ displayName: `Pupil ${i}` });
      ids.push(user.id);
      await done(client.schools.addUserToSchool(school.id, { '@odata.id': `${stage.http}/graph/v1.0/education/users/${user.id}` }));
    }
    const params = { $top: 2, $orderby: 'displayName', $filter: "startswith(displayName,'Pupil ')" };
    for (const first of [client.schools.listSchoolUsers(school.id, { params }), client.users.listEducationUsers(undefined, undefined, { params })]) {
      const pages = await follow(first);
      assert.deepEqual(pages.map(({ length }) => length), [2, 2, 2, 1]);
      assert.deepEqual(idsOf(pages.flat()), ids);
    }
  });

  test('follows pages that Prefer asks for', async () => {
    for (let i = 0; i < 5; i += 1) {
      await createClass();
    }
    const whole = (await client.classes.listClasses()).data.value;
    const first = await client.classes.listClasses({ headers: { Prefer: 'odata.maxpagesize=2' } });
    assert.equal(first.headers['preference-applied'], 'odata.maxpagesize=2');
    const pages = await follow(first);
    assert.equal(pages.length, Math.ceil(whole.length / 2), 'the preference lasts beyond the page that it was sent for');
    assert.deepEqual(new Set(idsOf(pages.flat())), new Set(idsOf(whole)));
    assert.equal(pages.flat().length, whole.length);
  });

  test('gets no body with Prefer: return=minimal', async () => {
    const user = await createUser();
    const answer = await client.users.updateEducationUser(user.id, { surname: 'Minimal' }, { headers: { Prefer: 'return=minimal' } });
    assert.equal(answer.status, 204);
    assert.equal(answer.headers['preference-applied'], 'return=minimal');
    assert.equal((await client.users.getEducationUser(user.id)).data.surname, 'Minimal');
  });

  test('changes no version but the one that was read', async () => {
    const user = await createUser();
    const change = (surname) => client.users.updateEducationUser(user.id, { surname }, { headers: { 'If-Match': user['@odata.etag'] } });
    assert.equal((await change('First')).status, 200);
    await refused(change('Second'), 412, 'resourceModified');
  });

  test('adds and removes references', async () => {
    const [school, group, user] = [await createSchool(), await createClass(), await createUser()];
    const { schools, classes, teachers } = client;
    const links = [
      [(body) => schools.addUserToSchool(school.id, body), () => schools.listSchoolUsers(school.id),
        () => schools.deleteUserFromSchool(school.id, user.id), 'users', user],
      [(body) => schools.addClassToSchool(school.id, body), () => schools.listSchoolClasses(school.id),
        () => schools.deleteClassFromSchool(school.id, group.id), 'classes', group],
      [(body) => classes.addUserToClass(group.id, body), () => classes.listClassMembers(group.id),
        () => classes.deleteUserFromClass(group.id, user.id), 'users', user],
      [(body) => teachers.addTeacherToClass(group.id, body), () => teachers.getTeachers(group.id),
        () => teachers.deleteTeacherFromClass(group.id, user.id), 'users', user],
    ];
    for (const [add, list, remove, set, { id }] of links) {
      await done(add({ '@odata.id': `${stage.http}/graph/v1.0/education/${set}/${id}` }));
      assert.deepEqual(idsOf((await list()).data.value), [id]);
      await done(remove());
      assert.deepEqual((await list()).data.value, []);
      await refused(remove(), 404, 'itemNotFound');
      await refused(add({ '@odata.id': `${stage.http}/graph/v1.0/education/${set}/${unknownId}` }), 404, 'itemNotFound');
      await refused(add({ '@odata.id': `${stage.http}/graph/v1.0/education/schools/${school.id}` }), 400, 'invalidRequest');
    }
  });

  test('sends compressed bodies', async () => {
    // axios has a place for what changes a body on its way.
    const options = { headers: { 'Content-Encoding': 'gzip' }, transformRequest: [(data) => gzipSync(data)] };
    const created = await client.users.createEducationUser(
      { displayName: 'Gerda Gzip', onPremisesSamAccountName: 'gerda', mail: 'gerda@example.org' }, options);
    assert.equal(created.status, 201);
    assert.equal((await client.users.getEducationUser('gerda')).data.displayName, 'Gerda Gzip');
  });

  test('reports refusals as AxiosError', async () => {
    const user = await createUser();
    const taken = (properties) => client.users.createEducationUser({
      displayName: 'Second', onPremisesSamAccountName: 'second', mail: 'second@example.org', ...properties,
    });
    await refused(client.users.getEducationUser(unknownId), 404, 'itemNotFound');
    await refused(client.users.updateEducationUser(unknownId, { surname: 'Nobody' }), 404, 'itemNotFound');
    await refused(client.users.deleteEducationUser(unknownId), 404, 'itemNotFound');
    await refused(client.classes.listClassMembers(unknownId), 404, 'itemNotFound');
    await refused(taken({ onPremisesSamAccountName: user.onPremisesSamAccountName }), 409, 'nameAlreadyExists');
    assert.equal((await refused(taken({ externalId: user.externalId }), 409, 'nameAlreadyExists')).target, 'externalId');
    assert.equal((await refused(taken({ displayName: null }), 400, 'invalidRequest')).target, 'displayName');
    assert.equal((await refused(taken({ nickname: 'Nick' }), 400, 'invalidRequest')).target, 'nickname');
    await refused(client.users.listEducationUsers(undefined, undefined, { params: { $filter: 'nickname eq 1' } }), 400, 'invalidRequest');
    await refused(clientWith('not the token').users.listEducationUsers(), 401, 'InvalidAuthenticationToken');
    await refused(clientWith(stage.token, '/elsewhere').users.listEducationUsers(), 404, 'itemNotFound');
  });
});

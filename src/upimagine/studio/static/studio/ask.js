// Questions to the server; what it refuses becomes an Error with its own words.

export async function ask(path, method = "GET", body = undefined) {
  const options = { method };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers = { "Content-Type": "application/json" };
  }
  const answer = await fetch(path, options);
  if (answer.ok) return answer.status === 204 ? null : answer.json();
  const said = await answer.json().catch(() => ({}));
  throw new Error(typeof said.detail === "string" ? said.detail : `the server answered ${answer.status}`);
}

export const small = (id) => `/picture/256/${id}`;
export const large = (id) => `/picture/1080/${id}`;
